"""Signs and verifies with PyJWT. A JSON object on the standard input, another on the standard output.

{"act": "sign", "alg", "key", "claims"} -> {"token"}
{"act": "verify", "alg", "key", "token", "audience"} -> {"claims"} or {"refused": why}
"""

import json
import sys

import jwt


def sign(order):
    return {"token": jwt.encode(order["claims"], order["key"], algorithm=order["alg"])}


def verify(order):
    try:
        claims = jwt.decode(order["token"], order["key"], algorithms=[order["alg"]], audience=order["audience"])
    except jwt.InvalidTokenError as error:
        return {"refused": type(error).__name__}
    return {"claims": claims}


ACTS = {"sign": sign, "verify": verify}

order = json.load(sys.stdin)
json.dump(ACTS[order["act"]](order), sys.stdout)
