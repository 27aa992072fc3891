// Uploads a file with net/http and prints the status of the answer.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	url, key, path := os.Args[1], os.Args[2], os.Args[3]
	file, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	facts, err := file.Stat()
	if err != nil {
		fail(err)
	}
	request, err := http.NewRequest(http.MethodPut, url, file)
	if err != nil {
		fail(err)
	}
	request.ContentLength = facts.Size()
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fail(err)
	}
	fmt.Println(response.StatusCode)
}

func fail(err error) {
	fmt.Println("error:", err)
	os.Exit(1)
}
