"""As whom we speak to the Git host: a token, or a GitHub App whose tokens live an hour and are renewed in time.

Asked anew with every request and every command of git, so that a wait of many hours never ends on a token of the
morning. Nothing of it is a parameter, a result or part of a sentence.
"""

from tasks.credentials.sources import declined, holder, is_app, named, permissions_for, token_for, way_to_another

__all__ = ["declined", "holder", "is_app", "named", "permissions_for", "token_for", "way_to_another"]
