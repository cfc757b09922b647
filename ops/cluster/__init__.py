"""What Patroni and etcd say of the cluster, and what they are told."""
