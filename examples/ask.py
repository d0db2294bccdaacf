"""Ask a running gateway (make run) with OpenAI's own client: stream, read the reason, say how good it was."""

import json
import urllib.request

from openai import OpenAI

URL = "http://127.0.0.1:8080"
client = OpenAI(base_url=f"{URL}/v1", api_key="unused")

# Streamed, from whichever model the router chooses.
question = [{"role": "user", "content": "What is 15% of 80?"}]
for chunk in client.chat.completions.create(model="auto", messages=question, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
print()

# Not streamed, with a trade-off of its own; the headers name the decision.
reply = client.chat.completions.with_raw_response.create(
    model="auto", messages=question, extra_body={"waypost": {"usd": 100, "flags": {"local": 0.1}}}
)
print("answered by", reply.parse().model)
decision = reply.headers["x-waypost-decision"]

# Why that model?
with urllib.request.urlopen(f"{URL}/v1/decisions/{decision}") as response:
    print("because", json.load(response)["why"])

# Feedback is kept beside the decision.
body = json.dumps({"decision": decision, "quality": 1.0}).encode()
with urllib.request.urlopen(f"{URL}/v1/feedback", data=body) as response:
    print("feedback stored:", json.load(response)["stored"])
