// kubebox is a Kubernetes control plane without containers: etcd, kube-apiserver, the workload
// controllers and kwok (which plays the nodes) in one program, chosen by the first argument.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

var parts = map[string]func() error{
	"etcd":           runEtcd,
	"kube-apiserver": runAPIServer,
	"controllers":    runControllers,
	"kwok":           runKwok,
}

func main() {
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kubebox etcd|kube-apiserver|controllers|kwok [flags]")
		os.Exit(2)
	}
	// Each part reads its flags from os.Args, and believes to be a program of its own.
	os.Args = os.Args[1:]
	if err := parts[os.Args[0]](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runEtcd() error {
	etcdmain.Main(os.Args)
	return nil
}

func runAPIServer() error {
	os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	return nil
}

func runKwok() error {
	// component-base has put a --version flag into the global set; kwok's own would panic on it.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)

	// kwok reads --config and the log flags before its command does, past flags it does not know yet.
	early := pflag.NewFlagSet("global", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(signals.SetupSignalContext(), early)
	ctx, err := kwokconfig.InitFlags(ctx, early)
	if err != nil {
		return err
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(early)
	return command.ExecuteContext(ctx)
}
