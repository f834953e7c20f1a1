"""Webhook deliveries: a person can have one sent again."""

from infra.lab.github.answers import Answer
from infra.lab.github.rest import Call, known, route


def _redeliver(call: Call) -> Answer:
    deliveries = call.platform.store.all("delivery", of=call.name)
    asked = next((d for d in deliveries if str(d["id"]) == call.path["delivery_id"]), None)
    call.platform.courier.carry_again(known(asked))
    return Answer({}, 202)


ROUTES = [route("POST", "/hooks/{hook_id}/deliveries/{delivery_id}/attempts", _redeliver)]
