"""A GitHub of the lab's own: real bare repositories, smart HTTP, the REST API, rules, webhooks.

It answers in GitHub's shapes (those of its OpenAPI description, to which `witness.py` holds it in every test) and
refuses in GitHub's words. It holds only what the lab needs. Refs and objects are always read from the bare
repositories; the rest lives in one SQLite file.
"""
