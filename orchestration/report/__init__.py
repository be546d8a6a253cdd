"""The monthly report: one self-contained page per closed month, made of the marts alone."""
