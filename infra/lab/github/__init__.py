"""A GitHub of the lab's own: real bare repositories, smart HTTP, the REST API, webhooks.

It answers in GitHub's shapes (its OpenAPI description, npm `@octokit/openapi`) and holds only what the lab
needs. Refs and objects are always read from the bare repositories; the rest lives in one SQLite file.
"""
