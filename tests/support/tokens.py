"""Keys, key sets and tokens of the platform's identity provider."""

import json
import time

from jwcrypto import jwk, jwt

ISSUER = "https://login.test/"
AUDIENCE = "caseview-test"
ROLE = "Agent Impersonator"


class Keys:
    def __init__(self):
        self.keys = {
            "rsa": jwk.JWK.generate(kty="RSA", size=2048, kid="rsa", use="sig"),
            "ec": jwk.JWK.generate(kty="EC", crv="P-256", kid="ec", use="sig"),
        }
        self.algorithms = {"rsa": "RS256", "ec": "ES256"}

    def set(self):
        return {"keys": [key.export_public(as_dict=True) for key in self.keys.values()]}

    def write(self, path):
        path.write_text(json.dumps(self.set()))
        return path

    def token(self, client, kid="rsa", algorithm=None, header=(), **claims):
        """claims replace the usual ones; None leaves one out."""
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 3600,
            "azp": client,
            "roles": [ROLE],
            **claims,
        }
        body = {k: v for k, v in body.items() if v is not None}
        token = jwt.JWT({"alg": algorithm or self.algorithms[kid], "kid": kid, **dict(header)}, body)
        token.make_signed_token(self.keys[kid])
        return token.serialize()
