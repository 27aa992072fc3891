#!/usr/bin/env bash
# Ceph RGW 16.2.15: in a bucket that keeps versions a PUT with `If-None-Match: *` always succeeds. In
# one that keeps none it is honoured. `If-Match` is honoured in both.
#
# What a client found out about conditions in one bucket says nothing about another bucket of the same
# server, nor about the same bucket before versions were enabled.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo hello >"$work/object"
put() { s3 PUT /bucket/object --upload-file "$work/object" --header "$1"; }
other='If-Match: 00000000000000000000000000000000'
seen 'the first PUT, only if none is there' 200 "$(put 'If-None-Match: *')"
seen 'the second' 412 "$(put 'If-None-Match: *')"
seen 'on another ETag' 412 "$(put "$other")"
echo '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>' >"$work/versions"
seen 'PutBucketVersioning' 200 "$(s3 PUT '/bucket?versioning=' --data-binary "@$work/versions")"
seen 'then a PUT, only if none is there' 200 "$(put 'If-None-Match: *')"
seen 'another one' 200 "$(put 'If-None-Match: *')"
seen 'on another ETag' 412 "$(put "$other")"
