#!/bin/sh
# Pulls container images into Docker's store, with the rights of the instance's role:
#   mngen-preload.sh IMAGE...
# Needs Docker, and curl, which signs the request for ECR's password. That password is the `auth` of
# Docker's own configuration, base64 of AWS:PASSWORD, and good for twelve hours: it stays in memory, and
# the last step fails if a file of the image has it.
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
set -eu
umask 077
metadata=${MNGEN_METADATA:-http://169.254.169.254}/latest
root=${MNGEN_ROOT:-}
units="docker.socket docker.service containerd.service"
first="if mngen created the role, run mngen apply first, which gives it the permissions"

fail() {
    echo "mngen-preload: $1" >&2
    exit 1
}

ask() {
    curl --silent --show-error --fail --max-time 10 --retry 3 \
        --header "X-aws-ec2-metadata-token: $session" "$metadata/meta-data/$1"
}

# One string of a flat JSON document.
field() {
    sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

# Reads the credentials of the instance's role, once.
read_role() {
    [ -z "$role" ] || return 0
    curl --help all 2>/dev/null | grep -q aws-sigv4 ||
        fail "curl is too old to sign requests to AWS: the base AMI needs version 7.75 or newer"
    session=$(curl --silent --show-error --fail --max-time 10 --retry 3 --request PUT \
        --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token") ||
        fail "the instance metadata service does not answer"
    role=$(ask iam/security-credentials/) ||
        fail "the instance has no role: give it an instance profile"
    credentials=$(ask "iam/security-credentials/$role") || fail "cannot read the credentials of $role"
    key=$(printf '%s\n' "$credentials" | field AccessKeyId)
    secret=$(printf '%s\n' "$credentials" | field SecretAccessKey)
    token=$(printf '%s\n' "$credentials" | field Token)
}

# Logs in to a registry of ECR: REGISTRY REGION DOMAIN
log_in() {
    case $auths in *"\"$1\""*) return 0 ;; esac
    read_role
    # Secrets go through standard input: a command line can be read by every process.
    status=$(curl --silent --show-error --max-time 60 --retry 3 --config - \
        --output "$folder/answer" --write-out '%{http_code}' \
        "${MNGEN_ECR:-https://api.ecr.$2.$3}/" <<EOF
aws-sigv4 = "aws:amz:$2:ecr"
user = "$key:$secret"
header = "x-amz-security-token: $token"
header = "x-amz-target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
header = "content-type: application/x-amz-json-1.1"
data = "{}"
EOF
    ) || fail "cannot reach ECR in $2: does the VPC have an endpoint for ecr.api, or a way out?"
    password=$(field authorizationToken <"$folder/answer")
    # AWS writes it both ways.
    why=$(field '[Mm]essage' <"$folder/answer")
    [ "$status" = 200 ] && [ -n "$password" ] || fail "ECR in $2 gives $role no login (status\
 $status): ${why:-no reason given}. It needs ecr:GetAuthorizationToken: $first"
    echo "$password" >>"$folder/passwords"
    auths="$auths${auths:+,}\"$1\":{\"auth\":\"$password\"}"
    printf '{"auths":{%s}}\n' "$auths" >"$folder/config.json"
}

there() {
    docker --config "$folder" image inspect "$1" >/dev/null 2>&1
}

# Gives an image a second name. The agent deletes images that no job uses any more by the names that jobs
# have for them, and Docker keeps what has another name.
# https://github.com/aws/amazon-ecs-agent (agent/engine/docker_image_manager.go)
# https://docs.docker.com/reference/cli/docker/image/rm/
keep() {
    number=$((number + 1))
    docker --config "$folder" tag "$1" "mngen.preload/$number:baked" || fail "Docker cannot tag $1"
}

# In memory, also if a node's /tmp is on the disk.
folder=$(mktemp -d "$root/run/mngen-preload-XXXXXXXX")
role='' auths='' number=0
finish() {
    rm -rf "$folder"
    for unit in $units; do
        systemctl stop "$unit" 2>/dev/null || :
    done
}
trap finish EXIT

systemctl start docker.service || fail "Docker does not start: see journalctl -u docker.service"
for image; do
    # A tag may stand for another image by now.
    case $image in
    *@sha256:*)
        if there "$image"; then
            keep "$image"
            echo "there $image"
            continue
        fi
        ;;
    esac
    registry=${image%%/*}
    case $registry in
    *.dkr.ecr.*.amazonaws.com | *.dkr.ecr.*.amazonaws.com.cn)
        place=${registry#*.dkr.ecr.}
        log_in "$registry" "${place%%.*}" "${place#*.}"
        ;;
    esac
    docker --config "$folder" pull --quiet "$image" >/dev/null ||
        fail "$image cannot be pulled${role:+ with the rights of $role: $first}"
    there "$image" || fail "Docker reports that it pulled $image, but does not have it"
    keep "$image"
    echo "pulled $image"
done

for unit in $units; do
    systemctl stop "$unit" 2>/dev/null || :
done
# Each node's Docker makes its own name.
rm -f "$root/var/lib/docker/engine-id" "$root/etc/docker/key.json"
if [ -e "$folder/passwords" ]; then
    left=$(grep -rlsF -f "$folder/passwords" "$root/etc" "$root/home" "$root/opt" "$root/root" \
        "$root/tmp" "$root/var/lib/docker/image" "$root/var/log" "$root/var/tmp" || :)
    [ -z "$left" ] || fail "the login to ECR was left in $left"
fi
