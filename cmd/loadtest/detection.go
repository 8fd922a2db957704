package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/loadtest/detection"
	"mahavishnu/loadtest/report"
)

// detectionOptions are the flags of `loadtest detection`.
type detectionOptions struct {
	hours      float64
	thresholds []float64
	deaths     int
	svg        string
	shown
}

func newDetectionCommand(e *env) *cobra.Command {
	var o detectionOptions
	cmd := &cobra.Command{
		Use:   "detection",
		Short: "Simulate a noisy day, and compare how soon deaths are noticed with how often nobody died",
		Long: `Plays coordinators through simulated noise (5 % of all messages lost, up to 200 ms of
jitter, processes that stand still for want of a processor), with the judgement that
runs in earnest, and counts how often somebody who lives is held down. Then members die,
and it measures how long it takes until they are. Both, for a range of thresholds.`,
		Example: `  loadtest detection --json detection.json --svg detection.svg
  loadtest detection --hours 1 --thresholds 4,8`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDetection(cmd.Context(), e, o) },
	}
	flags := cmd.Flags()
	flags.Float64Var(&o.hours, "hours", 24, "how long to live in all noise under the default threshold, in hours; a quarter of it under each other, and in each other noise")
	flags.Float64SliceVar(&o.thresholds, "thresholds", detection.Thresholds(), "`THRESHOLDS` to try, beside the default")
	flags.IntVar(&o.deaths, "deaths", 200, "how often a member dies under each threshold in each noise")
	flags.StringVar(&o.svg, "svg", "", "write the plot to this `FILE`")
	o.add(cmd)
	return cmd
}

func runDetection(ctx context.Context, e *env, o detectionOptions) error {
	r, err := detection.Run(ctx, detection.Options{
		Hours: o.hours, Thresholds: o.thresholds, Deaths: o.deaths, Progress: func(what string) { e.say("%s ...", what) },
	})
	if err != nil {
		return err
	}
	if o.svg != "" {
		picture, err := report.SVG(r.Charts()...)
		if err == nil {
			err = os.WriteFile(o.svg, picture, 0o644)
		}
		if err != nil {
			return fault.New("write picture", o.svg, err, "")
		}
	}
	return e.showDocument(o.shown, r, r.Document())
}
