#!/usr/bin/env python3
"""Whether the service in this container answers 200: `healthcheck /livez`, or `/readyz`.

The images have no curl. Proxies of the environment are not asked: it is this very machine.
"""

import http.client
import os
import sys

try:
    port = int(os.environ.get("STORYHASH_HTTP__PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    connection.request("GET", sys.argv[1])
    answer = connection.getresponse()
    # Shown by `docker inspect`.
    sys.stdout.write(f"{answer.status} {answer.read(1000).decode(errors='replace')}\n")
    sys.exit(answer.status != 200)
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"no answer: {error}")
