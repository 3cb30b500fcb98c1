# Applies the output of `tare setup kubernetes` with kubectl to a small API server, apiserver.py. It checks the objects
# strictly, by Kubernetes' own definitions. cri.sh tests pods with that handler.

HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
STUBS=/var/lib/kubernetes
export KUBECONFIG=$STUBS/config

prepare() {
  local api=/usr/share/gocode/src
  mkdir -p $STUBS
  (cd $api && python3 -m grpc_tools.protoc -I $api --python_out=$STUBS k8s.io/api/node/v1/generated.proto \
    k8s.io/api/core/v1/generated.proto $(find k8s.io/apimachinery/pkg -name generated.proto))
  printf '%s' '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster":' \
    ' {"server": "http://127.0.0.1:8001"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}]}' >$KUBECONFIG
  systemd-run --unit=apiserver --setenv=PYTHONPATH=$STUBS python3 "$HERE/apiserver.py" 8001
  soon kubectl get runtimeclass
}
cleanup() { kubectl delete runtimeclass --all >/dev/null; }
ours() { [ $KIND = tare ] || skip "only tare tells engines how to use it"; }

case_apply() {
  ours
  want 'runtimeclass.node.k8s.io/tare created' readme Kubernetes,
  want 'runtimeclass.node.k8s.io/tare unchanged' readme Kubernetes,
  want tare kubectl get runtimeclass tare -o 'jsonpath={.handler}'
  has '.runtimes."tare"]' tare setup containerd
}
# A handler with another name. tare refuses a name that is not a DNS label before the server does.
case_names() {
  local dir name
  ours
  dir=$(directory)
  for name in 123 true null a-b "$(printf 'x%.0s' {1..63})"; do
    ln -s "$RUNTIME" "$dir/$name"
    want "runtimeclass.node.k8s.io/$name created" sh -c '"$1" setup kubernetes | kubectl apply -f -' - "$dir/$name"
    want "$name" kubectl get runtimeclass "$name" -o 'jsonpath={.handler}'
  done
}
# The server would refuse these objects.
case_strict() {
  ours
  wrong() { # SED-SCRIPT PART
    fails 1 "$2" sh -c "tare setup kubernetes | sed '$1' | kubectl apply -f -"
  }
  wrong 's/^handler/hander/' 'unknown field|no field named "hander"'
  wrong 's/^handler.*/handler: 1/' 'handler'
  wrong 's/^handler.*/handler: "a.b"/' 'DNS label'
  wrong 's/^  name.*/  name: "A"/' 'DNS label'
  wrong 's/^kind.*/kind: Runtime/' 'no matches|validating'
}
