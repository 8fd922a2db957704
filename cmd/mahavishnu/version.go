package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build; see the Makefile.
var version = "development"

// versionInfo is what "version --json" prints.
type versionInfo struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func currentVersion() versionInfo {
	info := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok && version == "development" && build.Main.Version != "" && build.Main.Version != "(devel)" {
		info.Version = build.Main.Version
	}
	return info
}

func newVersionCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  mahavishnu version\n  mahavishnu version --json",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runVersion(e) },
	})
}

func runVersion(e *env) error {
	info := currentVersion()
	e.term.Document(info)
	e.term.Printf("mahavishnu %s (%s, %s)", info.Version, info.Go, info.Platform)
	return nil
}
