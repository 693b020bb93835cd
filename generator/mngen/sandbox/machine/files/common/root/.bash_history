vi /etc/default/grub
