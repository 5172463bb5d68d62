# SPDX-License-Identifier: BSD-3-Clause
"""
The dialling side of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b (The Noise Protocol Framework, revision 34), written from the
specification and independent of ours: with it tests are a peer, or an attacker that knows the protocol well.
"""
import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAME = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"
PROLOGUE = b"pontlevis keys 1"
SECOND_SIZE = 32 + 16


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def exchange(private, public):
    """X25519, all zeros included: this side is not the one that has to be careful."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return bytes(32)


def blake2b(data):
    return hashlib.blake2b(data).digest()


def hkdf(chaining_key, material, count):
    temporary = hmac.new(chaining_key, material, hashlib.blake2b).digest()
    found, last = [], b""
    for number in range(1, count + 1):
        last = hmac.new(temporary, last + bytes([number]), hashlib.blake2b).digest()
        found.append(last)
    return found


class Cipher:
    def __init__(self, key):
        self.key, self.nonce = key, 0

    def _next(self):
        self.nonce += 1
        return bytes(4) + struct.pack("<Q", self.nonce - 1)

    def seal(self, plain, ad=b""):
        return ChaCha20Poly1305(self.key).encrypt(self._next(), plain, ad)

    def open(self, sealed, ad=b""):
        return ChaCha20Poly1305(self.key).decrypt(self._next(), sealed, ad)


class Initiator:
    """
    One handshake. What a test wants wrong it says: prologue, an ephemeral public key in place of the right one (with the
    shared secrets that this attacker would hope for, all zeros).
    """

    def __init__(self, private, remote, psk=bytes(32), prologue=PROLOGUE, ephemeral_public=None):
        self.private, self.remote, self.psk = private, remote, psk
        self.ephemeral = os.urandom(32)
        self.ephemeral_public = ephemeral_public or public_of(self.ephemeral)
        self.forged = ephemeral_public is not None
        self.hash = NAME + bytes(64 - len(NAME))
        self.chaining_key = self.hash
        self.cipher = None
        self._mix_hash(prologue)
        self._mix_hash(remote)

    def _mix_hash(self, data):
        self.hash = blake2b(self.hash + data)

    def _mix_key(self, material):
        self.chaining_key, key = hkdf(self.chaining_key, material, 2)
        self.cipher = Cipher(key[:32])

    def _seal(self, plain):
        sealed = self.cipher.seal(plain, self.hash)
        self._mix_hash(sealed)
        return sealed

    def first(self):
        """-> e, es, s, ss"""
        self._mix_hash(self.ephemeral_public)
        self._mix_key(self.ephemeral_public)
        self._mix_key(bytes(32) if self.forged else exchange(self.ephemeral, self.remote))
        sealed = self._seal(public_of(self.private))
        self._mix_key(exchange(self.private, self.remote))
        return self.ephemeral_public + sealed + self._seal(b"")

    def second(self, message):
        """<- e, ee, se, psk; returns (sending, receiving) cipher. InvalidTag if the other side is not who it should be."""
        if len(message) != SECOND_SIZE:
            raise InvalidTag
        remote_ephemeral = message[:32]
        self._mix_hash(remote_ephemeral)
        self._mix_key(remote_ephemeral)
        self._mix_key(exchange(self.ephemeral, remote_ephemeral))
        self._mix_key(exchange(self.private, remote_ephemeral))
        self.chaining_key, more, key = hkdf(self.chaining_key, self.psk, 3)
        self._mix_hash(more)
        self.cipher = Cipher(key[:32])
        self.cipher.open(message[32:], self.hash)
        self._mix_hash(message[32:])
        sending, receiving = hkdf(self.chaining_key, b"", 2)
        return Cipher(sending[:32]), Cipher(receiving[:32])


def frame(message):
    return struct.pack("!H", len(message)) + message


# Every u-coordinate that X25519 maps to zero: the five points of low order, and what reads as the same when reduced or
# when the ignored top bit is set.
P = 2 ** 255 - 19
ORDER_8 = (325606250916557431795983626356110631294008115727848805560023387167927233504,
           39382357235489614581723060781553021112529911719440698176882885853963445705823)
LOW_ORDER = sorted({(value | top) .to_bytes(32, "little") for value in (0, 1, *ORDER_8, P - 1, P, P + 1)
                    for top in (0, 1 << 255)})
