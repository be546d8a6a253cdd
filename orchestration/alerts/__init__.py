"""Alerts: what the feeds and the marts show is judged every night, and a message leaves when something is wrong."""
