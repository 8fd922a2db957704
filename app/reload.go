package app

import (
	"mahavishnu/config"
	"mahavishnu/retention"
)

// Reload reads the configuration again and hands it to the running roles. A bad
// one is refused as a whole and the old one stays in force; either way the log
// says so.
func (a *App) Reload() {
	path := a.Config.File()
	if path == "" {
		a.Log.Warn().Msg("there is no configuration file to reload")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh, changed, restart, err := config.Reload(a.cfg, path, a.ConfigOptions...)
	if err == nil {
		err = a.apply(fresh)
	}
	if alone := a.solitude(); err == nil && alone != nil {
		err = a.island.follow(alone.app, fresh)
	}
	if err != nil {
		a.Log.Error().Err(err).Msg("the configuration was not reloaded; the old one stays in force")
		return
	}
	a.cfg = fresh
	if len(restart) > 0 {
		a.Log.Warn().Strs("settings", restart).Msg("these settings take effect only when the process is started again")
	}
	a.Log.Info().Strs("changed", changed).Msg("configuration reloaded")
}

// apply gives the rooms their new configuration.
func (a *App) apply(fresh *config.Config) error {
	if _, err := retention.FromConfig(fresh.Backup); err != nil {
		return err
	}
	if a.scheduler != nil {
		plan, err := a.planOf(fresh)
		if err != nil {
			return err
		}
		if err := a.scheduler.Update(plan); err != nil {
			return err
		}
	}
	return nil
}

// config returns the configuration in force.
func (a *App) config() *config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}
