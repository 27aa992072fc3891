"""Uploads a file with requests and prints the status of the answer."""

import sys

import requests

url, key, path = sys.argv[1:4]
with open(path, "rb") as file:
    try:
        answer = requests.put(url, data=file, headers={"Authorization": f"Bearer {key}"})
        print(answer.status_code)
    except requests.RequestException as error:
        print("error:", error)
