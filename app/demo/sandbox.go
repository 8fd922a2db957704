package demo

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
)

func (d *demo) configPath() string { return filepath.Join(d.dir, "mahavishnu.yml") }

// configure makes the key and the configuration of the process that leads.
func (d *demo) configure() error {
	if _, err := keyring.Create(filepath.Join(d.dir, "key"), d.Clock.Now()); err != nil {
		return err
	}
	return d.writeConfig(d.configPath(), "leader", region, "")
}

// writeConfig writes a node's configuration. An empty url means that the node
// runs the queue itself.
func (d *demo) writeConfig(path, node, in, url string) error {
	queue := "listen: 127.0.0.1:0"
	if url != "" {
		queue = fmt.Sprintf("url: %q", url)
	}
	// The story has a chapter about verifying; following every backup with it
	// would tell it over and over.
	text := fmt.Sprintf(`backup:
  validation: {verify_on_create: false}
  encryption: {key_path: %q}
  replication:
    enabled: true
    regions: [{primary: %s, secondary: %s}]
    storages:
      %[2]s: {local: {enabled: true, path: %[4]q}}
      %[3]s: {local: {enabled: true, path: %[5]q}}
regions: [%[2]s, %[3]s]
sources:
  %[6]s: {path: %[7]q, region: %[2]s}
node:
  name: %[8]s
  region: %[9]s
  data_dir: %[10]q
  listen: ""
  slots: 1
nats: {%[11]s}
jobs:
  ack_wait: %[12]s
`, filepath.Join(d.dir, "key"), region, away, d.storage(), d.second(), source, d.tree(), node, in, filepath.Join(d.dir, node), queue, ackWait)
	return os.WriteFile(path, []byte(text), 0o600)
}

// startSystem runs everything but the workers in this process.
func (d *demo) startSystem(ctx context.Context) error {
	cfg, err := config.Load(d.configPath())
	if err != nil {
		return err
	}
	d.access = app.AccessTo(cfg)
	d.access.Create = true
	a, err := app.New(app.Options{Config: cfg, Roles: app.Roles{Scheduler: true}, Clock: d.Clock})
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	d.app, d.bus = a, a.Bus()
	return nil
}

// dirSize counts the bytes and files below dir.
func dirSize(dir string) (bytes, files int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
		files++
		return nil
	})
	return bytes, files, err
}

func largestFile(dir string) (path string, err error) {
	var most int64
	err = filepath.WalkDir(dir, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > most {
			most, path = info.Size(), p
		}
		return err
	})
	if err == nil && path == "" {
		err = fault.New("find a pack in", dir, fs.ErrNotExist, "")
	}
	return path, err
}
