"""An encryption as `langgraph.json` names one: no key, but nothing readable and a tenant."""

from __future__ import annotations

import asyncio

from langgraph_sdk import Encryption, EncryptionContext

encryption = Encryption()


def turned(context: EncryptionContext, blob: bytes) -> bytes:
    key = len(str(context.metadata["tenant"])) + 0x50
    return bytes(byte ^ key for byte in blob)


@encryption.encrypt.blob
async def encrypt(context: EncryptionContext, blob: bytes) -> bytes:
    return await asyncio.to_thread(turned, context, blob)


@encryption.decrypt.blob
async def decrypt(context: EncryptionContext, blob: bytes) -> bytes:
    return await asyncio.to_thread(turned, context, blob)
