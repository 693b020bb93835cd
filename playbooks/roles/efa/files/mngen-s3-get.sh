#!/bin/sh
# Copies objects from a bucket with the rights of the instance's role, and needs nothing but curl,
# which signs the requests:
#   mngen-s3-get.sh s3://BUCKET/PREFIX/ FOLDER NAME...
# The bucket is in the instance's region: that is the one that an S3 endpoint of the VPC serves.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
set -eu
umask 077

from=${1#s3://}
folder=$2
shift 2
metadata=${MNGEN_METADATA:-http://169.254.169.254}/latest

fail() {
    echo "mngen-s3-get: $1" >&2
    exit 1
}

ask() {
    curl --silent --show-error --fail --max-time 10 --retry 3 \
        --header "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"
}

# One string of the flat JSON document that the metadata service answers with.
field() {
    printf '%s\n' "$credentials" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

token=$(curl --silent --show-error --fail --max-time 10 --retry 3 --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token") ||
    fail "the instance metadata service does not answer"
region=$(ask placement/region) || fail "cannot read the region"
domain=$(ask services/domain) || fail "cannot read the domain of AWS"
role=$(ask iam/security-credentials/) || fail "the instance has no role: give it an instance profile"
credentials=$(ask "iam/security-credentials/$role") || fail "cannot read the credentials of $role"
key=$(field AccessKeyId)
secret=$(field SecretAccessKey)
session=$(field Token)
[ -n "$key" ] && [ -n "$secret" ] && [ -n "$session" ] || fail "$role has no credentials"

for name; do
    # Secrets go through standard input: a command line can be read by every process.
    status=$(curl --silent --show-error --max-time 600 --retry 3 --config - \
        --output "$folder/$name" --write-out '%{http_code}' \
        "${MNGEN_S3:-https://s3.$region.$domain}/$from$name" <<EOF
aws-sigv4 = "aws:amz:$region:s3"
user = "$key:$secret"
header = "x-amz-security-token: $session"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
EOF
    ) || fail "cannot reach S3 in $region: does the VPC have an endpoint for it?"
    case $status in
    200) ;;
    403) fail "s3://$from$name: access denied to $role, which needs s3:GetObject on it" ;;
    404) fail "s3://$from$name does not exist" ;;
    30?) fail "s3://$from is not in $region: use a bucket of the deployment's region" ;;
    *) fail "s3://$from$name: S3 answered with status $status" ;;
    esac
done
