"""Encrypts and decrypts RSA1_5 with jwcrypto. A JSON object on the standard input, another on the standard output.

{"act": "encrypt", "enc", "jwk", "content"} -> {"token"}
{"act": "decrypt", "enc", "key", "token"} -> {"content"}
"""

import json
import sys

from jwcrypto import jwe, jwk

ALG = "RSA1_5"


def encrypt(order):
    header = {"alg": ALG, "enc": order["enc"], "kid": order["jwk"]["kid"], "cty": "JWT"}
    token = jwe.JWE(order["content"].encode(), protected=header, algs=[ALG, order["enc"]])
    token.add_recipient(jwk.JWK(**order["jwk"]))
    return {"token": token.serialize(compact=True)}


def decrypt(order):
    token = jwe.JWE(algs=[ALG, order["enc"]])
    token.deserialize(order["token"], jwk.JWK.from_pem(order["key"].encode()))
    return {"content": token.payload.decode()}


ACTS = {"encrypt": encrypt, "decrypt": decrypt}

order = json.load(sys.stdin)
json.dump(ACTS[order["act"]](order), sys.stdout)
