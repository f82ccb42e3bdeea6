"""Lets the standardwebhooks package of PyPI judge deliveries that come over standard input."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

cases = json.load(sys.stdin)
for case in cases:
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
        good = True
    except WebhookVerificationError:
        good = False
    if good != case["good"]:
        sys.exit(f"{case['what']}: {'verified' if good else 'refused'}")
print(f"{len(cases)} as expected")
