/** How the page of a report looks: light and dark, wide and on a phone. */
export const style = `
:root { --back: #fff; --text: #1d2330; --quiet: #667085; --line: #e4e7ec; --soft: #f5f6f8;
  --good: #067647; --goodback: #dcfae6; --bad: #b42318; --badback: #fee4e2; --mid: #93370d; --midback: #fef0c7;
  --cool: #175cd3; --coolback: #d1e9ff; }
@media (prefers-color-scheme: dark) { :root { --back: #12161f; --text: #e6e9ef; --quiet: #98a2b3; --line: #2b3342;
  --soft: #1b212d; --good: #75e0a7; --goodback: #053321; --bad: #fda29b; --badback: #55160c; --mid: #fec84b;
  --midback: #4e1d09; --cool: #84caff; --coolback: #102a56; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; } h1 small { color: var(--quiet); font-weight: 400; }
h2 { margin: 2rem 0 .6rem; font-size: 1.1rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { margin: 0 0 .4rem; font-size: 1rem; color: var(--bad); }
.quiet, .note { color: var(--quiet); font-size: .85rem; }
.sum .chip { font-size: .95rem; }
.chip { display: inline-block; margin: .1rem 0; padding: .05rem .5rem; border-radius: .8rem; background: var(--soft);
  font-size: .85rem; }
.chip a { color: inherit; }
.done { background: var(--goodback); color: var(--good); } .failed, .refused { background: var(--badback); color: var(--bad); }
.skipped { background: var(--midback); color: var(--mid); } .planned { background: var(--coolback); color: var(--cool); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; width: 10rem; }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--soft); border-radius: .4rem; overflow-x: auto;
  font: 13px/1.45 ui-monospace, monospace; }
.failure { border-left: 3px solid var(--bad); padding-left: .8rem; margin: .8rem 0; }
details { margin: .5rem 0; } summary { cursor: pointer; } details p { margin: .3rem 0 .3rem 1.1rem; }
.span { display: grid; grid-template-columns: 14rem 1fr 16rem; gap: .8rem; align-items: center; padding: .12rem 0; }
.label { font-size: .85rem; } .track { position: relative; height: .9rem; background: var(--soft); border-radius: .2rem; }
.track i { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: .2rem; }
.bar { background: var(--good) !important; } .bar.failed { background: var(--bad) !important; }
.bar.running { background: var(--mid) !important; } .bar.connect { background: var(--quiet) !important; }
.bar.send { background: var(--cool) !important; } .bar.connect.failed { background: var(--bad) !important; }
.wait { background: repeating-linear-gradient(90deg, var(--line) 0 3px, transparent 3px 6px); }
@media (max-width: 48rem) { .span { grid-template-columns: 1fr; gap: .1rem; padding: .3rem 0; } th { width: 6rem; } }
`;
