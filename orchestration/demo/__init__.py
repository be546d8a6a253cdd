"""A synthetic customer base worth looking at: nothing in it belongs to a real person. See `docs/demo.md`."""

from orchestration.demo.generator import DemoError, generate

__all__ = ["DemoError", "generate"]
