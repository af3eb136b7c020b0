"""Signs, verifies, encrypts and decrypts with jwcrypto. A JSON object on the standard input, another on the standard output.

{"act": "sign", "alg", "key", "claims"} -> {"token"}
{"act": "verify", "alg", "key", "token"} -> {"claims"} or {"refused": why}
{"act": "encrypt", "enc", "jwk", "content"} -> {"token"}
{"act": "decrypt", "key", "token"} -> {"content"}
"""

import json
import sys

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import base64url_encode


def read_key(order):
    """The secret as text (HS256, HS512) or a PEM key."""
    if order.get("alg", "RS").startswith("HS"):
        return jwk.JWK(kty="oct", k=base64url_encode(order["key"]))
    return jwk.JWK.from_pem(order["key"].encode())


def sign(order):
    token = jws.JWS(json.dumps(order["claims"]))
    token.add_signature(read_key(order), protected={"alg": order["alg"], "typ": "JWT"})
    return {"token": token.serialize(compact=True)}


def verify(order):
    token = jws.JWS()
    token.allowed_algs = [order["alg"]]
    try:
        token.deserialize(order["token"], read_key(order))
    except jws.InvalidJWSSignature as error:
        return {"refused": type(error).__name__}
    return {"claims": json.loads(token.payload)}


def encrypt(order):
    key = jwk.JWK(**order["jwk"])
    header = {"alg": "RSA-OAEP", "enc": order["enc"], "kid": order["jwk"]["kid"], "cty": "JWT"}
    token = jwe.JWE(order["content"].encode(), protected=header, recipient=key)
    return {"token": token.serialize(compact=True)}


def decrypt(order):
    token = jwe.JWE()
    token.deserialize(order["token"], read_key(order))
    return {"content": token.payload.decode()}


ACTS = {"sign": sign, "verify": verify, "encrypt": encrypt, "decrypt": decrypt}

order = json.load(sys.stdin)
json.dump(ACTS[order["act"]](order), sys.stdout)
