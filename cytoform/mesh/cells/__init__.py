"""What a mesh of touching cells consists of: contacts, junction lines, corners, angles; its defects and their repair."""
