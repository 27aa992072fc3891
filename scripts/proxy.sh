#!/usr/bin/env bash
# Runs a proxy with the settings of packaging/proxies in front of a gateway, for tests and measurements.
#
#   scripts/proxy.sh NAME DIR PORT GATEWAY [GATEWAY]
#
# NAME is nginx, haproxy, caddy or apache; HAProxy takes two gateways (127.0.0.1:PORT). DIR holds cert.pem
# and cert.key, and gets the configuration and the logs. The proxy serves https://localhost:PORT until it
# is killed.
set -euo pipefail

name=$1 dir=$2 port=$3 one=$4 two=${5:-$4}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints a file of packaging/proxies with our addresses and files.
settings() {
  sed -e "s|/etc/ssl/backup.example.com.both.pem|$dir/both.pem|" \
    -e "s|/etc/ssl/backup.example.com.pem|$dir/cert.pem|" \
    -e "s|/etc/ssl/backup.example.com.key|$dir/cert.key|" \
    -e "s|127.0.0.1:8080|$one|" -e "s|127.0.0.1:8081|$two|" \
    -e "s|listen 443|listen 127.0.0.1:$port|" -e "s|bind :443|bind 127.0.0.1:$port|" \
    -e "s|\*:443|127.0.0.1:$port|" -e "s|^backup.example.com {|https://localhost:$port {|" \
    -e "s|backup.example.com|localhost|" "packaging/proxies/$1"
}

PATH=$PATH:/usr/sbin
case $name in
  nginx)
    mkdir -p "$dir/nginx"
    {
      printf 'daemon off;\npid %s;\nerror_log %s;\n' "$dir/nginx/pid" "$dir/nginx/error.log"
      printf 'events {}\nhttp {\naccess_log off;\n'
      printf '%s_temp_path %s;\n' client_body "$dir/nginx/body" proxy "$dir/nginx/proxy" \
        fastcgi "$dir/nginx/fastcgi" uwsgi "$dir/nginx/uwsgi" scgi "$dir/nginx/scgi"
      settings nginx.conf
      echo '}'
    } >"$dir/nginx.conf"
    exec nginx -e "$dir/nginx/start.log" -c "$dir/nginx.conf"
    ;;
  haproxy)
    cat "$dir/cert.pem" "$dir/cert.key" >"$dir/both.pem"
    settings haproxy.cfg >"$dir/haproxy.cfg"
    exec haproxy -db -f "$dir/haproxy.cfg"
    ;;
  caddy)
    # Its own options are the first block of the file.
    settings Caddyfile | sed '0,/^{/s/^{/{\n\tadmin off\n\tauto_https disable_redirects/' >"$dir/Caddyfile"
    HOME=$dir exec caddy run --adapter caddyfile --config "$dir/Caddyfile"
    ;;
  apache)
    mkdir -p "$dir/apache"
    {
      printf 'ServerRoot %s\nServerName localhost\nPidFile %s\n' "$dir/apache" "$dir/apache/pid"
      printf 'Listen 127.0.0.1:%s\nErrorLog %s\nMutex pthread\n' "$port" "$dir/apache/error.log"
      ((EUID != 0)) || printf 'User www-data\nGroup www-data\n'
      for module in mpm_event authz_core ssl socache_shmcb reqtimeout proxy proxy_http; do
        echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
      done
      settings apache.conf
    } >"$dir/apache.conf"
    exec apache2 -D FOREGROUND -f "$dir/apache.conf"
    ;;
  *)
    echo "no proxy is called $name" >&2
    exit 2
    ;;
esac
