package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/disruption"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controller/statefulset"
)

const (
	workers        = 5
	resync         = 12 * time.Hour   // upstream's own
	collectEvery   = 30 * time.Second // how often the collector learns of new kinds
	finalizeEvery  = 5 * time.Minute
	endpointsSlice = 100 // endpoints in one slice; upstream's own
)

// plant is what every controller is made from.
type plant struct {
	config    *rest.Config
	shared    informers.SharedInformerFactory
	metadata  metadata.Interface
	discovery *discovery.DiscoveryClient
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

// controller runs with so many workers until its context ends.
type controller func(ctx context.Context, workers int)

// runControllers runs upstream's controllers by their constructors. The command
// cmd/kube-controller-manager would bring the scheduler, the kubelet's and the volumes' packages into
// the build: two more minutes.
func runControllers() error {
	flags := pflag.NewFlagSet("controllers", pflag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	qps := flags.Float32("kube-api-qps", 20, "requests a second for each controller (20 is upstream's default)")
	burst := flags.Int("kube-api-burst", 30, "requests at once for each controller (30 is upstream's default)")
	_ = flags.Parse(os.Args[1:])

	ctx := klog.NewContext(context.Background(), klog.Background())
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = *qps, *burst
	p := newPlant(config)
	// All controllers come first: a constructor registers what its informers have to watch.
	controllers := append(p.workloads(ctx), p.housekeeping(ctx)...)
	startCollector := p.collector(ctx)
	for _, run := range controllers {
		go run(ctx, workers)
	}
	startCollector()
	<-ctx.Done()
	return nil
}

func newPlant(config *rest.Config) *plant {
	p := &plant{config: config}
	p.discovery = discovery.NewDiscoveryClientForConfigOrDie(p.named("discovery"))
	p.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(p.discovery))
	p.metadata = must(metadata.NewForConfig(p.named("metadata")))
	p.shared = informers.NewSharedInformerFactory(p.client("informers"), resync)
	return p
}

// named gives each controller its own rate limit, and its own name in managedFields.
func (p *plant) named(name string) *rest.Config {
	return rest.AddUserAgent(rest.CopyConfig(p.config), name)
}

func (p *plant) client(name string) kubernetes.Interface {
	config := p.named(name)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	return kubernetes.NewForConfigOrDie(config)
}

// workloads are the controllers that make pods of what people deploy.
func (p *plant) workloads(ctx context.Context) []controller {
	core, apps := p.shared.Core().V1(), p.shared.Apps().V1()
	deployments := must(deployment.NewDeploymentController(
		ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), p.client("deployment-controller")))
	replicaSets := replicaset.NewReplicaSetController(
		ctx, apps.ReplicaSets(), core.Pods(), p.client("replicaset-controller"), replicaset.BurstReplicas)
	statefulSets := statefulset.NewStatefulSetController(
		ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(), apps.ControllerRevisions(),
		p.client("statefulset-controller"))
	daemonSets := must(daemon.NewDaemonSetsController(
		ctx, apps.DaemonSets(), apps.ControllerRevisions(), core.Pods(), core.Nodes(),
		p.client("daemon-set-controller"), flowcontrol.NewBackOff(time.Second, 15*time.Minute)))
	return []controller{deployments.Run, replicaSets.Run, statefulSets.Run, daemonSets.Run}
}

// housekeeping are the controllers that keep budgets, namespaces, endpoints and accounts.
func (p *plant) housekeeping(ctx context.Context) []controller {
	core, apps := p.shared.Core().V1(), p.shared.Apps().V1()
	kinds := scale.NewDiscoveryScaleKindResolver(p.discovery)
	scales := must(scale.NewForConfig(
		p.named("disruption-controller"), p.mapper, dynamic.LegacyAPIPathResolverFunc, kinds))
	budgets := disruption.NewDisruptionController(
		ctx, core.Pods(), p.shared.Policy().V1().PodDisruptionBudgets(), core.ReplicationControllers(),
		apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(),
		p.client("disruption-controller"), p.mapper, scales, p.discovery)
	client := p.client("namespace-controller")
	namespaces := namespace.NewNamespaceController(
		ctx, client, p.metadata, client.Discovery().ServerPreferredNamespacedResources, core.Namespaces(),
		finalizeEvery, v1.FinalizerKubernetes)
	endpoints := endpointslice.NewController(
		ctx, core.Pods(), core.Services(), core.Nodes(), p.shared.Discovery().V1().EndpointSlices(),
		endpointsSlice, p.client("endpointslice-controller"), 0)
	accounts := must(serviceaccount.NewServiceAccountsController(
		klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), p.client("service-account-controller"),
		serviceaccount.DefaultServiceAccountsControllerOptions()))
	return []controller{budgets.Run, namespaces.Run, endpoints.Run, accounts.Run}
}

// collector deletes what has lost its owner. The function it returns starts every informer, then itself.
func (p *plant) collector(ctx context.Context) func() {
	all := informerfactory.NewInformerFactory(
		p.shared, metadatainformer.NewSharedInformerFactory(p.metadata, resync))
	informersStarted := make(chan struct{})
	garbage := must(garbagecollector.NewGarbageCollector(
		ctx, p.client("generic-garbage-collector"), p.metadata, p.mapper,
		garbagecollector.DefaultIgnoredResources(), all, informersStarted))
	return func() {
		go garbage.Run(ctx, workers, collectEvery)
		go garbage.Sync(ctx, p.discovery, collectEvery)
		all.Start(ctx.Done())
		close(informersStarted)
	}
}

// must ends the program: a controller that cannot be made is a mistake of the program, not of the world.
func must[T any](value T, err error) T {
	if err != nil {
		klog.Fatal(err)
	}
	return value
}
