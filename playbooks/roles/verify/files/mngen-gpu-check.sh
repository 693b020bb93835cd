#!/bin/sh
# Prints what keeps the GPUs of a node from working, one problem a line; nothing if all is well.
#
# The kernel and NVIDIA's driver fit only each other. The ECS GPU-optimized AMI locks both against
# updates. A node loads the module at boot: on Amazon Linux 2023 from an archive that was built for
# one kernel and one driver, on Amazon Linux 2 from the kernel's own folder. Most builders have no
# GPU, so nothing is loaded there; where one has, its module must be that of the driver.
# Source: https://github.com/aws/amazon-ecs-ami (scripts/al2023/gpu/install-nvidia-driver.sh and
# nvidia-kmod-load.sh, scripts/enable-ecs-agent-gpu-support.sh), https://github.com/dkms-project/dkms
#
#   mngen-gpu-check.sh BASE [ROOT]    BASE: amazon-linux-2023 or amazon-linux-2

base=$1
root=${2:-}

# Whether a pattern of the shell, expanded, names a file.
there() {
  [ -e "$1" ]
}

support='^[[:space:]]*ECS_ENABLE_GPU_SUPPORT[[:space:]]*=[[:space:]]*"?true"?[[:space:]]*$'
if ! grep -Eqs "$support" "$root/var/lib/ecs/ecs.config" "$root/etc/ecs/ecs.config"; then
  echo "the ECS agent does not offer GPUs (ECS_ENABLE_GPU_SUPPORT): the base AMI is not the" \
    "GPU-optimized one"
fi

kernel=$(grubby --default-kernel)
kernel=${kernel##*/vmlinuz-}
if [ -z "$kernel" ]; then
  echo "grubby shows no kernel that starts by default"
  exit 0
fi

driver=
if [ "$base" = amazon-linux-2 ]; then
  if [ -z "$(find "$root/lib/modules/$kernel" -name 'nvidia.ko*' 2>/dev/null)" ]; then
    echo "the kernel $kernel, which starts by default, has no NVIDIA module: the kernel was updated"
  fi
else
  driver=$(rpm --query --queryformat '%{VERSION}' nvidia-driver) || driver=
  if [ -z "$driver" ]; then
    echo "the package nvidia-driver is not installed"
  elif ! there "$root"/var/lib/dkms-archive/nvidia/nvidia-"$driver"-kernel"$kernel"-*.tar.gz; then
    echo "the kernel $kernel, which starts by default, has no NVIDIA module $driver: the kernel or" \
      "the driver was updated"
  fi
fi

for vendor in "$root"/sys/bus/pci/devices/*/vendor; do
  if [ "$(cat "$vendor" 2>/dev/null)" = 0x10de ]; then
    loaded=$(cat "$root/sys/module/nvidia/version" 2>/dev/null)
    if [ -z "$loaded" ]; then
      echo "this instance has a GPU, and the NVIDIA module is not loaded"
    elif [ -n "$driver" ] && [ "$loaded" != "$driver" ]; then
      echo "the NVIDIA module that is loaded is $loaded, and the driver is $driver"
    fi
    break
  fi
done
