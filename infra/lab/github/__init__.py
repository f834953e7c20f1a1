"""A GitHub of the lab's own: real bare repositories, smart HTTP, the REST API, rules, webhooks.

It answers in GitHub's shapes (those of its OpenAPI description, to which `test_lab_github_contract.py` holds it) and
refuses in GitHub's words. It holds only what the lab needs. Refs and objects are always read from the bare
repositories; the rest lives in one SQLite file.
"""
