"""Which shard of a split a clip belongs to."""

import hashlib


def shard_of(file_name: str, n_shards: int) -> int:
    """Give the shard, 0 to `n_shards` - 1, of a clip: a hash of its name.

    The same on every machine and Python, and independent of the other clips of the split: adding
    one clip changes one shard.
    """
    digest = hashlib.blake2b(file_name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n_shards
