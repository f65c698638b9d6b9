"""Row 4: accepted and refused tokens."""

import json
import os
import time

import pytest
from jwcrypto import jwk, jws

from support.api_views import CLIENT, b64, check_problem, claims, sign
from support.tokens import AUDIENCE, ISSUER


@pytest.mark.parametrize("kid,alg", [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")])
def test_tokens_of_each_allowed_algorithm(api, keys, kid, alg):
    assert api.call(keys.token(CLIENT, kid=kid, algorithm=alg)).status_code == 200
    own = sign(keys.keys[kid], json.dumps({"alg": alg, "kid": kid}), json.dumps(claims()))
    assert api.call(own).status_code == 200


GOOD_CLAIMS = {
    "audience in an array": {"aud": ["x", AUDIENCE]},
    "second audience": {"aud": "second"},
    "second issuer": {"iss": "other"},
    "expired within the leeway": {"exp": lambda: time.time() - 50},
    "not yet valid within the leeway": {"nbf": lambda: time.time() + 50},
    "times with fractions": {"exp": lambda: time.time() + 10.25, "nbf": lambda: time.time() - 0.5},
    "a time beyond all integers": {"exp": 1e300},
    "a huge integer elsewhere": {"x": 10**40},
    "appid": {"azp": None, "appid": CLIENT},
    "client_id": {"azp": "", "appid": 7, "client_id": CLIENT},
}
BAD_CLAIMS = {
    "expired": {"exp": lambda: time.time() - 61},
    "not yet valid": {"nbf": lambda: time.time() + 65},
    "no exp": {"exp": None},
    "exp a string": {"exp": str(2**40)},
    "exp true": {"exp": True},
    "nbf a string": {"nbf": "0"},
    "nbf null": {"nbf": "<null>"},
    "another issuer": {"iss": ISSUER + "x"},
    "issuer in an array": {"iss": [ISSUER]},
    "no issuer": {"iss": None},
    "another audience": {"aud": "x"},
    "audience in another case": {"aud": AUDIENCE.upper()},
    "no audience": {"aud": None},
    "empty audience": {"aud": []},
    "audience an object": {"aud": {AUDIENCE: AUDIENCE}},
}


def made(changes):
    return claims(**{k: v() if callable(v) else v for k, v in changes.items()})


@pytest.mark.parametrize("name", GOOD_CLAIMS)
def test_claims_that_are_accepted(api, keys, name):
    payload = json.dumps(made(GOOD_CLAIMS[name]))
    assert api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)).status_code == 200


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_row_4_claims_that_are_refused(api, keys, name):
    payload = json.dumps(made(BAD_CLAIMS[name])).replace('"<null>"', "null")
    check_problem(api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)), 401, "invalid-token")


BAD_HEADERS = [
    '{"alg":"RS256"}',
    '{"alg":"RS256","kid":""}',
    '{"alg":"RS256","kid":7}',
    '{"alg":"RS256","kid":"RSA"}',
    '{"alg":"rs256","kid":"rsa"}',
    '{"alg":"RS384","kid":"rsa"}',
    '{"alg":"RS512","kid":"rsa"}',
    '{"alg":"none","kid":"rsa"}',
    '{"alg":"HS256","kid":"rsa"}',
    '{"alg":"ES256","kid":"rsa"}',
    '{"alg":"RS256","kid":"ec"}',
    '{"alg":["RS256"],"kid":"rsa"}',
    '{"kid":"rsa"}',
    '{"alg":"RS256","kid":"rsa","crit":["exp"]}',
    '{"alg":"RS256","kid":"rsa","crit":[]}',
    '{"alg":"RS256","kid":"rsa","b64":false}',
    '{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}',
    '{"alg":"RS256","kid":"rsa","kid":"rsa"}',
    '{"alg":"none","alg":"RS256","kid":"rsa"}',
    '{"alg":"RS256","kid":"rsa","x":{"a":1,"a":2}}',
    '["RS256"]',
    '{"alg":"RS256","kid":"rsa"}x',
    '{"alg":"RS256","kid":"rsa\\u0000"}',
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_row_4_headers_that_are_refused_though_signed(api, keys, header):
    try:
        token = sign(keys.keys["rsa"], header, json.dumps(claims()))
    except (ValueError, AttributeError):
        token = keys.token(CLIENT)
        token = b64(header) + token[token.index(".") :]
    check_problem(api.call(token), 401, "invalid-token")


def test_row_4_duplicate_claims(api, keys):
    payload = json.dumps(claims())[:-1] + ',"aud":"x"}'
    check_problem(api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)), 401, "invalid-token")


def test_row_4_header_keys_are_never_followed(api, keys):
    """A token with its own key, by value or by URL."""
    stranger = jwk.JWK.generate(kty="RSA", size=2048, kid="rsa")
    for extra in ({"jwk": stranger.export_public(as_dict=True)}, {"jku": "http://127.0.0.1:1/jwks"}, {"x5u": "http://127.0.0.1:1/"}):
        header = json.dumps({"alg": "RS256", "kid": "rsa", **extra})
        check_problem(api.call(sign(stranger, header, json.dumps(claims()))), 401, "invalid-token")
        assert api.call(sign(keys.keys["rsa"], header, json.dumps(claims()))).status_code == 200


def test_row_4_public_key_as_hmac_secret(api, keys):
    secret = jwk.JWK(kty="oct", k=b64(keys.keys["rsa"].export_to_pem()))
    token = jws.JWS(json.dumps(claims()))
    token.add_signature(secret, None, json.dumps({"alg": "HS256", "kid": "rsa"}))
    check_problem(api.call(token.serialize(compact=True)), 401, "invalid-token")


def test_row_4_malformed_tokens(api, keys):
    good = keys.token(CLIENT, kid="ec")
    head, payload, signature = good.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    loose_bits = signature[:-1] + last[last.index(signature[-1]) | 1]
    for bad in (
        "x", "a.b", "..", "a.b.c.d", f"{head}.{payload}.", f".{payload}.{signature}", f"{head}..{signature}",
        f"{head}=.{payload}.{signature}", f"{head}.{payload}.{signature}==", f"{head}.{payload}.{flipped}",
        f"{head}.{payload}.{signature}AA", f"{head}.{payload}.{signature[:40]}", f"{head}.{payload}.{loose_bits}",
        f"{head}.{payload} .{signature}", good + "." , good + " x", f"{head}.{b64(json.dumps(claims(azp='x')))}.{signature}",
        f"{b64('{')}.{payload}.{signature}", f"{head}.{payload}.{'+' + signature[1:]}", "A" * 6000,
        f"{head}.{payload}.{b64(b'0' * 64)}", f"{head}.{payload}.{b64(bytes(64))}", f"{head}.{payload}.{b64(bytes([255]) * 64)}",
    ):  # fmt: skip
        check_problem(api.call(bad), 401, "invalid-token")
    assert api.call(good).status_code == 200


@pytest.mark.parametrize("length", [1, 16, 255, 257, 512])
def test_row_4_signatures_of_another_length(api, keys, length):
    for alg in ("RS256", "PS256"):
        token = sign(keys.keys["rsa"], json.dumps({"alg": alg, "kid": "rsa"}), json.dumps(claims()))
        check_problem(api.call(token[: token.rindex(".") + 1] + b64(os.urandom(length))), 401, "invalid-token")
