"""The findings of `marts.challenges_monthly` as sentences, in French and English."""
