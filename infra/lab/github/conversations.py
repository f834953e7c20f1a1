"""What people say and stick on a pull request: comments, labels, reviews."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError, invalid, now
from infra.lab.github.heads import head_of
from infra.lab.github.lengths import comment_must_fit
from infra.lab.github.people import label_shape, node_id, person
from infra.lab.github.pulls import one_pull
from infra.lab.github.rest import Call, page_of, required, route
from infra.lab.github.store import Document

_REVIEWS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
_REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")


def _comment(call: Call, comment: Document) -> dict[str, Any]:
    url = f"{call.base}/issues/comments/{comment['id']}"
    return {
        "id": comment["id"],
        "node_id": node_id("IssueComment", comment["id"]),
        "url": url,
        "html_url": f"{call.html}/pull/{comment['number']}#issuecomment-{comment['id']}",
        "issue_url": f"{call.base}/issues/{comment['number']}",
        "body": comment["body"],
        "user": person(call.platform, comment["user"]),
        "created_at": comment["created_at"],
        "updated_at": comment["created_at"],
        "author_association": "MEMBER",
        "reactions": {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)},
    }


def _add_comment(call: Call) -> Answer:
    pull = one_pull(call)
    required(call, "body")
    comment_must_fit(call.body["body"])
    comment = call.platform.store.add(
        "comment", call.name, number=pull["number"], body=call.body["body"], user=call.user["login"], created_at=now()
    )
    return Answer(_comment(call, comment), 201)


def _comments(call: Call) -> Answer:
    found = call.platform.store.all("comment", call.name, number=one_pull(call)["number"])
    return page_of(call, found, lambda comment: _comment(call, comment))


def _add_labels(call: Call) -> Answer:
    pull = one_pull(call)
    given = call.body.get("labels", [])
    names = [label["name"] if isinstance(label, dict) else str(label) for label in given]
    pull = call.platform.store.change(pull, labels=list(dict.fromkeys([*pull["labels"], *names])))
    return Answer([label_shape(call, name) for name in pull["labels"]])


def _labels(call: Call) -> Answer:
    return page_of(call, one_pull(call)["labels"], lambda name: label_shape(call, name))


def _review(call: Call, review: Document) -> dict[str, Any]:
    html = f"{call.html}/pull/{review['number']}#pullrequestreview-{review['id']}"
    address = f"{call.base}/pulls/{review['number']}"
    return {
        "id": review["id"],
        "node_id": node_id("PullRequestReview", review["id"]),
        "user": person(call.platform, review["user"]),
        **{key: review[key] for key in ("body", "state", "submitted_at", "commit_id")},
        "html_url": html,
        "pull_request_url": address,
        "author_association": "MEMBER",
        "_links": {"html": {"href": html}, "pull_request": {"href": address}},
    }


def _add_review(call: Call) -> dict[str, Any]:
    pull, event = one_pull(call), call.body.get("event")
    if event not in _REVIEWS:
        raise invalid("PullRequestReview", "event", "invalid")
    if event != "COMMENT" and call.user["login"] == pull["user"]:
        word = "approve" if event == "APPROVE" else "request changes on"
        raise ApiError(422, "Unprocessable Entity", [f"Can not {word} your own pull request"])
    review = call.platform.store.add(
        "review", call.name, number=pull["number"], user=call.user["login"], state=_REVIEWS[event],
        body=call.body.get("body") or "", submitted_at=now(), commit_id=head_of(call.bare, pull),
    )  # fmt: skip
    return _review(call, review)


def _reviews(call: Call) -> Answer:
    found = call.platform.store.all("review", call.name, number=one_pull(call)["number"])
    return page_of(call, found, lambda review: _review(call, review))


ROUTES = [
    route("POST", "/issues/{number}/comments", _add_comment),
    route("GET", "/issues/{number}/comments", _comments),
    route("POST", "/issues/{number}/labels", _add_labels),
    route("GET", "/issues/{number}/labels", _labels),
    route("POST", "/pulls/{number}/reviews", _add_review),
    route("GET", "/pulls/{number}/reviews", _reviews),
]
