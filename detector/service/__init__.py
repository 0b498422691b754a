"""The web service: a page for a person, an API for a program, on one machine."""
