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
	return d.writeConfig(d.configPath(), "leader", "")
}

// writeConfig writes a node's configuration. An empty url means that the node
// runs the queue itself.
func (d *demo) writeConfig(path, node, url string) error {
	queue := "listen: 127.0.0.1:0"
	if url != "" {
		queue = fmt.Sprintf("url: %q", url)
	}
	// The story has a chapter about verifying; following every backup with it
	// would tell it over and over.
	text := fmt.Sprintf(`backup:
  validation: {verify_on_create: false}
  storage: {local: {path: %q}}
  encryption: {key_path: %q}
regions: [%s]
sources:
  %s: {path: %q}
node:
  name: %s
  data_dir: %q
  listen: ""
  slots: 1
nats: {%s}
jobs:
  ack_wait: %s
`, d.storage(), filepath.Join(d.dir, "key"), region, source, d.tree(), node, filepath.Join(d.dir, node), queue, ackWait)
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
