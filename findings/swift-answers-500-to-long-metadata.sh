#!/usr/bin/env bash
# OpenStack Swift 2.30.1, its S3 API: metadata of 2,100 bytes are answered with 500 InternalError,
# "please try again".
#
# The S3 reference: 400 MetadataTooLarge beyond 2 KB. A client that tells what may be repeated by
# the status, as all SDKs do, repeats this to the end of its patience, and a server that is well
# looks broken. Keep the limit oneself.
. "$(dirname "$0")/common.sh"

debian_root "${swift_packages[@]}"
boto_install "$work/boto"
start_swift
with_boto >"$work/told" <<'END'
print(code("put_object", Key="object", Body=b"content", Metadata={"a": "x" * 200}))
print(code("put_object", Key="object", Body=b"content", Metadata={"a": "x" * 2100}))
END
seen 'PUT with 200 bytes of metadata' 200 "$(sed -n 1p "$work/told")"
seen 'PUT with 2,100 bytes of metadata' '500 InternalError' "$(sed -n 2p "$work/told")"
