<?php
// Uploads a file with PHP's curl and prints the status of the answer.
[, $url, $key, $path] = $argv;
$curl = curl_init($url);
curl_setopt_array($curl, [
    CURLOPT_UPLOAD => true,
    CURLOPT_INFILE => fopen($path, 'rb'),
    CURLOPT_INFILESIZE => filesize($path),
    CURLOPT_HTTPHEADER => ["Authorization: Bearer $key"],
    CURLOPT_RETURNTRANSFER => true,
]);
$answer = curl_exec($curl);
echo $answer === false ? 'error: ' . curl_error($curl) : curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\n";
