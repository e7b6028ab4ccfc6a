import { Modal } from '@mantine/core';
import type { ReactNode } from 'react';

/** A dialog with its title and a button that closes it. Its head is no second page header for readers of the screen. */
export function Dialog({
  opened,
  title,
  closeLabel = 'Close',
  onClose,
  children,
}: {
  readonly opened: boolean;
  readonly title: string;
  readonly closeLabel?: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  return (
    <Modal.Root opened={opened} onClose={onClose} size="lg">
      <Modal.Overlay />
      <Modal.Content>
        <div className="dialog-head">
          <Modal.Title className="dialog-title">{title}</Modal.Title>
          <Modal.CloseButton aria-label={closeLabel} />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
