package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// storm breaks about a sixth of all requests, in every way but one that a service has
// no checksum against.
func storm(p *wire.Proxy) {
	for i, breaks := range []func(*wire.Rule){
		(*wire.Rule).Refuse, (*wire.Rule).HangUp, (*wire.Rule).Reset, (*wire.Rule).LoseAnswer, func(r *wire.Rule) { r.Truncate(3000) },
		func(r *wire.Rule) { r.Status(http.StatusInternalServerError) }, func(r *wire.Rule) { r.Status(http.StatusTooManyRequests) },
		func(r *wire.Rule) { r.Status(http.StatusServiceUnavailable) },
	} {
		breaks(p.On(wire.Any).Every(31 + 6*i))
	}
	p.On(wire.Put).Every(11).Flip()
}

// A repository lives on through a link and a server that keep failing: what is backed up,
// forgotten and pruned there is restored bit by bit, over the same link and without it.
func TestRepositoryInAStorm(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (p *wire.Proxy, far, near string, c storage.Credentials){
		"S3": func(t *testing.T) (*wire.Proxy, string, string, storage.Credentials) {
			s := servers.S3(t)
			p := wire.New(t, wire.S3, s.Endpoint())
			return p, s.Through(p.URL(), "stormy"), s.URL("stormy"), storage.Credentials{S3: storage.S3Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}}
		},
		"Azure": func(t *testing.T) (*wire.Proxy, string, string, storage.Credentials) {
			s := servers.Azure(t)
			p := wire.New(t, wire.Azure, s.Process.Endpoint())
			return p, s.Through(p.URL(), "stormy"), s.URL("stormy"), storage.Credentials{Azure: storage.AzureCredentials{AccountKey: s.Key}}
		},
		"GCS": func(t *testing.T) (*wire.Proxy, string, string, storage.Credentials) {
			s := servers.GCS(t)
			p := wire.New(t, wire.GCS, s.Endpoint())
			return p, s.Through(p.URL(), "stormy"), s.URL("stormy"), storage.Credentials{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, far, near, secrets := start(t)
			s := &spread{
				t: t, dir: t.TempDir(), ring: keyring.Generate(time.Now()), place: far,
				secrets: map[string]storage.Credentials{far: secrets, near: secrets}, trees: map[string]string{},
				retry: storage.RetryOptions{First: time.Millisecond, Longest: 20 * time.Millisecond},
			}
			storm(proxy)
			s.create(repository.Parity{})
			for i := range 3 {
				s.backup(fmt.Sprint("the ", i+1, ". time"), 2<<20)
			}
			s.restore("in the storm")
			s.within("forget and prune", func(ctx context.Context, repo *repository.Repository) error {
				snap, err := repo.FindSnapshot(ctx, s.order[0])
				if err != nil {
					return err
				}
				if err := repo.Forget(ctx, snap); err != nil {
					return err
				}
				s.order = s.order[1:]
				_, err = prune.Run(ctx, repo, prune.Options{})
				return err
			})
			s.verify("in the storm")
			s.restore("in the storm, after the prune")
			if proxy.Struck() < 10 {
				t.Errorf("only %d of %d requests failed", proxy.Struck(), proxy.Requests())
			}
			t.Logf("%d of %d requests failed: %v", proxy.Struck(), proxy.Requests(), proxy.Counts())
			s.place = near
			s.verify("without the storm")
			s.restore("without the storm")
		})
	}
}
