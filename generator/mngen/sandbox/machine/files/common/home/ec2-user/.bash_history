sudo vi /etc/fstab
