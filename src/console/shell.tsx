import { ActionIcon, Alert, AppShell, Burger, Group, NavLink, Text, TextInput, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconChartBar, IconHome, IconLogout, IconMoon, IconSearch, IconSun } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type FormEvent, type ReactNode } from 'react';
import { Link, useLocation, useNavigate } from 'react-router';
import { call } from './api.ts';
import { forgetDrafts } from './drafts.ts';
import { useObjects, useSession } from './session.tsx';

function ColorScheme() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const dark = scheme === 'dark';
  return (
    <ActionIcon
      variant="subtle"
      size="lg"
      aria-label={dark ? 'Use light colours' : 'Use dark colours'}
      onClick={() => {
        setColorScheme(dark ? 'light' : 'dark');
      }}
    >
      {dark ? <IconSun size={20} /> : <IconMoon size={20} />}
    </ActionIcon>
  );
}

function SignOut() {
  const client = useQueryClient();
  const session = useSession();
  const signOut = async () => {
    await call('/sign-out', { method: 'POST' });
    forgetDrafts();
    client.clear();
    window.location.assign('/');
  };
  return (
    <ActionIcon variant="subtle" size="lg" aria-label={`Sign out ${session.user.name}`} onClick={() => void signOut()}>
      <IconLogout size={20} />
    </ActionIcon>
  );
}

function SearchBox() {
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() !== '') void navigate(`/search?q=${encodeURIComponent(text.trim())}`);
  };
  return (
    <form role="search" onSubmit={submit} className="shell-search">
      <TextInput
        aria-label="Search all records"
        placeholder="Search all records"
        leftSection={<IconSearch size={16} />}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
        }}
      />
    </form>
  );
}

export function Shell({ children }: { readonly children: ReactNode }) {
  const [open, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  const session = useSession();
  const objects = useObjects();
  const main = useRef<HTMLElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const shownPath = useRef(pathname);
  useEffect(() => {
    // A new page was opened: readers of the screen and of the keyboard begin at its start.
    if (shownPath.current === pathname) return;
    shownPath.current = pathname;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);
  const reports = useQuery({ queryKey: ['reports'], queryFn: () => call<{ data: readonly { readonly name: string; readonly label: string }[] }>('/reports') });
  useEffect(() => {
    // The menu is longer than most screens: where one is stands in it.
    menu.current?.querySelector('[data-active]')?.scrollIntoView({ block: 'nearest' });
  }, [pathname, objects.data, reports.data]);
  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !open } }} padding={0}>
      <a className="skip" href="#main">
        Skip to main content
      </a>
      <AppShell.Header px="md">
        <Group h="100%" gap="sm" wrap="nowrap" justify="space-between">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={open ? 'Close the menu' : 'Open the menu'} />
            <Link to="/" className="brand-link">
              Credenza
            </Link>
          </Group>
          <SearchBox />
          <Group gap={4} wrap="nowrap">
            <Text size="sm" visibleFrom="md" className="muted" truncate maw={200}>
              {session.user.name}
            </Text>
            <ActionIcon component={Link} to="/search" variant="subtle" size="lg" hiddenFrom="xs" aria-label="Search all records">
              <IconSearch size={20} />
            </ActionIcon>
            <ColorScheme />
            <SignOut />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" component="nav" aria-label="Objects and reports" className={open ? 'menu menu-open' : 'menu'} onClick={close}>
        <div className="menu-scroll" ref={menu}>
          <NavLink component={Link} to="/" label="Home" leftSection={<IconHome size={18} />} active={pathname === '/'} />
          {(reports.data?.data ?? []).map((report) => (
            <NavLink
              key={report.name}
              component={Link}
              to={`/reports/${report.name}`}
              label={report.label}
              leftSection={<IconChartBar size={18} />}
              active={pathname === `/reports/${report.name}`}
            />
          ))}
          <p className="menu-title">Records</p>
          {(objects.data?.data ?? []).map((object) => (
            <NavLink
              key={object.name}
              component={Link}
              to={`/o/${object.name}`}
              label={object.plural}
              active={pathname.startsWith(`/o/${object.name}/`) || pathname === `/o/${object.name}`}
            />
          ))}
        </div>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} ref={main}>
        {session.sandbox === true && (
          <Alert color="grape" radius={0} title="Sandbox">
            Nothing leaves this copy: no mail, no calls to other systems.
          </Alert>
        )}
        {session.mail === 'captured' && session.sandbox !== true && (
          <Alert color="yellow" radius={0} role="note" className="notice">
            No mail leaves this system: SMTP_URL is not set.{' '}
            {session.permissionSets.includes('administrator') ? <Link to="/mail">Read the captured mails</Link> : 'Mails are kept as captured.'}
          </Alert>
        )}
        <div className="page">{children}</div>
      </AppShell.Main>
    </AppShell>
  );
}
