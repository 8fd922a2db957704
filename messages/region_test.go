package messages

import (
	"slices"
	"testing"
)

func TestWhoseJobsARegionTakes(t *testing.T) {
	to := func(region string) *RegionChange { return &RegionChange{To: region, Execution: "x", Epoch: 7} }
	for _, c := range []struct {
		name    string
		regions []RegionRecord
		want    map[string][]string
	}{
		{"nothing was moved", nil, map[string][]string{"eu": {"eu"}, "us": {"us"}}},
		{"a pause moves nothing", []RegionRecord{{Region: "eu", Paused: to("")}}, map[string][]string{"eu": {"eu"}, "us": {"us"}}},
		{
			"the repository first",
			[]RegionRecord{{Region: "eu", Repository: to("us")}},
			map[string][]string{"eu": nil, "us": {"us"}},
		},
		{
			"then the workers",
			[]RegionRecord{{Region: "eu", Repository: to("us"), Workers: to("us")}},
			map[string][]string{"eu": nil, "us": {"eu", "us"}, "ap": {"ap"}},
		},
		{
			"two regions at once",
			[]RegionRecord{{Region: "eu", Workers: to("us")}, {Region: "ap", Workers: to("us")}},
			map[string][]string{"eu": nil, "us": {"ap", "eu", "us"}, "ap": nil},
		},
		{
			"what took over is moved itself",
			[]RegionRecord{{Region: "eu", Workers: to("us")}, {Region: "us", Workers: to("ap")}},
			map[string][]string{"us": {"eu"}, "ap": {"ap", "us"}},
		},
		{"taken back", []RegionRecord{{Region: "eu", Epoch: 9}}, map[string][]string{"eu": {"eu"}, "us": {"us"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all Regions
			for _, r := range c.regions {
				all = all.With(r)
			}
			for region, want := range c.want {
				if got := all.TakenBy(region); !slices.Equal(got, want) {
					t.Errorf("workers of %s take the jobs of %v, want %v", region, got, want)
				}
			}
		})
	}
}

func FuzzDecodeRegion(f *testing.F) {
	f.Add([]byte(`{"region":"eu","epoch":7,"paused":{"execution":"x","epoch":7,"by":"n1","at":"2026-01-02T03:04:05Z"},"services":{"orders":"a"}}`))
	f.Add([]byte(`{"region":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRegion(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeRegion(again)
		if err != nil || back.Region != r.Region || back.Epoch != r.Epoch || back.Changed() != r.Changed() || back.Away() != r.Away() {
			t.Errorf("%+v became %+v (%v)", r, back, err)
		}
	})
}
