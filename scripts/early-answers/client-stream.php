<?php
// Uploads a file with PHP's own HTTP stream, which holds it in memory, and prints the status.
ini_set('memory_limit', '2G');
[, $url, $key, $path] = $argv;
$context = stream_context_create(['http' => [
    'method' => 'PUT',
    'header' => "Authorization: Bearer $key\r\nContent-Type: application/octet-stream",
    'content' => file_get_contents($path),
    'ignore_errors' => true,
]]);
$answer = @file_get_contents($url, false, $context);
echo $answer === false || !isset($http_response_header)
    ? 'error: ' . (error_get_last()['message'] ?? 'none')
    : explode(' ', $http_response_header[0])[1], "\n";
