"""What Patroni and etcd report about the cluster, and requests to them."""
