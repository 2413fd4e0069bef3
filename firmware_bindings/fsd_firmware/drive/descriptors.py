"""What an MCAP file says about its protobuf messages, so that any reader can decode them."""

from __future__ import annotations

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def descriptor_set(file: FileDescriptor) -> bytes:
    """``file`` and all it imports as a serialised FileDescriptorSet, imports first: what MCAP asks for."""
    found: dict[str, FileDescriptor] = {}

    def visit(one: FileDescriptor) -> None:
        if one.name not in found:
            for imported in one.dependencies:
                visit(imported)
            found[one.name] = one

    visit(file)
    result = FileDescriptorSet()
    for one in found.values():
        one.CopyToProto(result.file.add())
    return result.SerializeToString(deterministic=True)
